"""python -m deploy.probe: `gapless.deploy.probe`, from a checkout."""

from gapless.deploy.probe import main

if __name__ == "__main__":
    main()
