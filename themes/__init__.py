"""All colour: themes and the semantic variables the screens use."""
