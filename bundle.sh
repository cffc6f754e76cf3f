#!/bin/sh
# Build an offline bundle: NovaCron's wheel, the wheels of all it needs, and an installer, in one
# tar file for machines that reach no network. It fits the Python version and the architecture of
# the machine it is built on. Usage: bundle.sh [PYTHON] [OUTPUT FOLDER]
set -eu

top=$(cd "$(dirname "$0")" && pwd)
python=${1:-"$top/.venv/bin/python"}
out=${2:-"$top/dist"}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/wheels"

"$python" -m pip wheel --quiet --wheel-dir "$work/wheels" "$top[kvm]" || {
    echo "bundle: the wheels could not be built; libvirt-python needs libvirt-dev, pkg-config and gcc" >&2
    exit 1
}
name=$("$python" - "$work/wheels" <<'PY'
import pathlib, platform, sys
wheel = next(pathlib.Path(sys.argv[1]).glob("novacron-*.whl"))
major, minor = sys.version_info[:2]
print(f"novacron-{wheel.name.split('-')[1]}-py{major}.{minor}-linux-{platform.machine()}")
PY
)
mkdir "$work/$name"
mv "$work/wheels" "$work/$name/wheels"
cp "$top/LICENSE" "$top/README.md" "$work/$name/"
cat > "$work/$name/install.sh" <<'INSTALL'
#!/bin/sh
# Install NovaCron from this folder, without any network. Usage: install.sh [FOLDER]
# Needs python3 with venv (Debian: python3-venv) and libvirt's client library (Debian: libvirt0).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
into=${1:-"$HOME/.local/lib/novacron"}
python=${PYTHON:-python3}
want=$(basename "$here" | sed 's/.*-py\([0-9.]*\)-.*/\1/')
have=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$want" != "$have" ]; then
    echo "This bundle is for Python $want, $python is $have: set PYTHON, or build a bundle for it." >&2
    exit 1
fi
"$python" -m venv "$into"
"$into/bin/python" -m pip install --quiet --disable-pip-version-check --no-index \
    --find-links "$here/wheels" 'novacron[kvm]'
echo "Installed. Run: $into/bin/novacron"
INSTALL
chmod 755 "$work/$name/install.sh"
tar -C "$work" -czf "$out/$name.tar.gz" "$name"
echo "$out/$name.tar.gz"
