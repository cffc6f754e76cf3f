"""Modal questions. Esc always means no, and Cancel is always the default button."""
