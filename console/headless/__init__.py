"""What the screens do, without a screen: one verb a file."""
