"""What people do with a model: show, replay, compare, time, perturb, draw."""
