"""The same equations in general-purpose array libraries, written for these benchmarks."""
