"""What tests begin from."""
