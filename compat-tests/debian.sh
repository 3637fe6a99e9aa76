# shellcheck shell=bash
# Packages of Debian's releases, fetched through a private apt (its own sources, lists and status)
# and unpacked, never installed. Sourced by setup-clients, with the folder to fill in $cache.

mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

# Prints the apt configuration of a Debian release, made and updated on first use.
private_apt() { # release
  local dir=$cache/apt/$1
  if [ ! -e "$dir/ready" ]; then
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    : >"$dir/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" \
      >"$dir/sources.list"
    # A frozen mirror's Release file may be past its date.
    cat >"$dir/apt.conf" <<CONF
Dir::State "$dir";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
Dir::Etc::SourceList "$dir/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::Retries "3";
APT::Sandbox::User "";
CONF
    APT_CONFIG=$dir/apt.conf apt-get update -q >&2
    touch "$dir/ready"
  fi
  echo "$dir/apt.conf"
}

# Unpacks packages of a Debian release into unpacked/<release> and notes their versions.
unpack() { # release package...
  local release=$1 conf into
  shift
  conf=$(private_apt "$release")
  into=$cache/unpacked/$release
  mkdir -p "$into" "$cache/debs/$release"
  (cd "$cache/debs/$release" && rm -f ./*.deb && APT_CONFIG=$conf apt-get download -q "$@" >&2)
  local deb
  for deb in "$cache/debs/$release"/*.deb; do
    dpkg-deb -x "$deb" "$into"
    echo "$release $(dpkg-deb -W --showformat='${Package} ${Version}' "$deb")" \
      >>"$cache/VERSIONS.new"
  done
}

# Copies a jar under its plain name. Debian's manifests carry absolute Class-Path entries, which
# would drag in the machine's own jars of another release, so they go.
take_jar() { # from-dir name to-dir
  local from
  from=$(readlink -f "$1/usr/share/java/$2.jar")
  case $from in "$1"/*) ;; *) from=$1$from ;; esac
  cp "$from" "$3/$2.jar"
  local work
  work=$(mktemp -d)
  if unzip -q -o "$3/$2.jar" META-INF/MANIFEST.MF -d "$work" 2>/dev/null; then
    # A long value goes on in lines that begin with a space.
    awk '/^Class-Path:/ {skip=1; next} skip && /^ / {next} {skip=0; print}' \
      "$work/META-INF/MANIFEST.MF" >"$work/kept"
    mv "$work/kept" "$work/META-INF/MANIFEST.MF"
    (cd "$work" && zip -q "$3/$2.jar" META-INF/MANIFEST.MF)
  fi
  rm -rf "$work"
}
