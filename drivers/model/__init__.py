"""The shared vocabulary: frozen, slotted values that every room may read.

Times are seconds since the epoch on the console's clock, sizes are bytes, rates are per second,
shares are percent. ``None`` means "not known"; the owner's ``missing`` says why.
"""
