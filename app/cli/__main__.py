"""`python -m app.cli` is the command, too."""

from app.cli.root import main

if __name__ == "__main__":
    main()
