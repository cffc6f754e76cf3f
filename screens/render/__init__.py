"""Pure functions from the model to rows, cells and lines. No widget, no clock, no I/O."""
