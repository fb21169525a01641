"""python -m deploy.stack: `gapless.stack`, from a checkout."""

from gapless.stack.__main__ import main

if __name__ == "__main__":
    main()
