"""Random whole specs through every path that must give one answer; see `runner`."""
