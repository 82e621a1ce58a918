"""What is asked at an endpoint that takes a form, and what its answer says."""
