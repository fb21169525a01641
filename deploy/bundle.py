"""python -m deploy.bundle: `gapless.deploy.bundle`, from a checkout."""

from gapless.deploy.bundle import main

if __name__ == "__main__":
    main()
