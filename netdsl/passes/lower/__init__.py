"""From the network to the step program: cell bodies, deliveries, learning, protocol statements."""
