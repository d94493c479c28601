"""``python -m hmm`` is the command ``hmm``."""

from hmm.cli import main

if __name__ == "__main__":
    main()
