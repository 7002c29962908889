"""The kinds of destinations. A new kind is one file and one name here."""
