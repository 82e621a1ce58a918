"""What is said to a person, whether one can be asked, and what is typed."""
