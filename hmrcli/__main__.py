"""`python -m hmrcli`, which is also what `torchrun -m hmrcli` starts."""

from hmrcli.cli.app import main

if __name__ == "__main__":
    main()
