"""What a compiled network needs while it runs: data, random numbers, records, pictures."""
