"""`kubectl mcs` from one file: the first start unpacks it below ~/.cache, as compiled modules cannot be loaded from an
archive; the next ones find it there.

This runs in whatever Python there is, so that it can say what is wrong with it: no words here that a Python 3 of years
ago does not know.
"""

import atexit
import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path


def main(archive):
    """Become the plugin, or kubectl's completions of it where it is called by that name."""
    with zipfile.ZipFile(archive) as opened:
        release = json.loads(opened.read("release.json").decode())
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        if version not in release["pythons"]:
            use_another(archive, release["pythons"], version)
        sys.path.insert(0, str(unpacked(opened, release["digest"]) / "site"))
    if Path(sys.argv[0]).name.startswith("kubectl_complete"):
        from mcs_operator.cli.complete import main as run  # noqa: PLC0415 - it is there by now
    else:
        from mcs_operator.cli.main import main as run  # noqa: PLC0415
    run()


def use_another(archive, pythons, version):
    """Go on in a Python that it has modules for, or end."""
    for other in reversed(pythons):
        program = shutil.which(f"python{other}")
        if program:
            os.execv(program, [program, archive, *sys.argv[1:]])  # noqa: S606 - a program, and no line of a shell
    sys.exit(f"kubectl mcs needs Python {', '.join(pythons)}; this is {version}")


def unpacked(opened, digest):
    """The folder with its files. Each release has one of its own, so that no two meet."""
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "kubectl-mcs"
    folder = place / digest
    if is_ours(folder):
        return folder
    try:
        place.mkdir(0o700, parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=str(place)))
    except OSError:  # no home, or one that is read-only
        folder = new = Path(tempfile.mkdtemp(prefix="kubectl-mcs-"))
        atexit.register(shutil.rmtree, str(new), ignore_errors=True)
    try:
        opened.extractall(str(new))
        new.rename(folder)
    except OSError as error:
        shutil.rmtree(str(new), ignore_errors=True)
        if not is_ours(folder):  # else another one was there first
            sys.exit(f"kubectl mcs cannot unpack itself into {folder}: {error.strerror}")
    return folder


def is_ours(folder):
    """Whether it is there, and nobody else can have put anything into it."""
    try:
        found = folder.stat()
    except OSError:
        return False
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


if __name__ == "__main__":
    main(str(Path(__loader__.archive).absolute()))
