"""What flows where: one walk over a network, read by checks, locality and passes."""
