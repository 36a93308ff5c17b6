"""From the step program to source text: names, places, expression printers, comments."""
