"""Tables and the shapes that clients see, one file per resource."""
