"""The kinds of sources. A new kind is one file and one name here."""
