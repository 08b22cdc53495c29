"""The loop, what a step of each training does, and the learning rate's course."""
