"""`hmr` and `python -m hmrcli`, which is also what `torchrun -m hmrcli` starts."""

import gc
import sys


def main() -> None:
    """Runs the command line; Ctrl-C while its modules load ends it without a traceback, too."""
    try:
        from hmrcli.cli.app import main as run

        run()
    except KeyboardInterrupt:  # later ones are met by `console.exit_codes`
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        gc.freeze()  # Python would look through all that torch imported once more before it ends: half a second


if __name__ == "__main__":
    main()
