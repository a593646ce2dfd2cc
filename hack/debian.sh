# Sourced: packages of a newer Debian than this machine's, for tools that are unpacked and not installed. No root is needed.
#
#   TIELINE_DEBIAN_MIRROR  default: the first Debian mirror of this machine's apt sources
#   TIELINE_DEBIAN_SUITE   default: sid
#
# The caller defines fail.

debian_mirror() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null | sed 's/#.*//' |
    grep -oE '(https?|file):[^ ]*/debian/?([ ]|$)' | head -1 | tr -d ' ' || true
}

# debian_open FOLDER: an apt of its own, with its lists in FOLDER/apt. Sets $debian (mirror and suite) and $debian_options.
debian_open() {
  local from=${TIELINE_DEBIAN_MIRROR:-$(debian_mirror)} suite=${TIELINE_DEBIAN_SUITE:-sid} apt=$1/apt
  [ -n "$from" ] || fail "no Debian mirror in this machine's apt sources; set TIELINE_DEBIAN_MIRROR"
  debian="$from $suite"
  mkdir -p "$apt"/{preferences.d,lists/partial,archives/partial}
  : >"$apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $debian main" >"$apt/sources.list"
  # A snapshot of the archive is a good mirror; its signature is checked, its age is not.
  debian_options=(-o Acquire::Check-Valid-Until=false
    -o Dir::Etc="$apt" -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::State="$apt" -o Dir::State::Lists="$apt/lists" -o Dir::State::status="$apt/status"
    -o Dir::Cache="$apt" -o Dir::Cache::Archives="$apt/archives" -o Acquire::Languages=none
    -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false -o APT::Sandbox::User=root -o Acquire::Retries=3)
  debian_apt apt-get -qq update || fail "cannot read the package lists of $debian"
}

# debian_apt apt-get|apt-cache WORDS...
debian_apt() { "$1" "${debian_options[@]}" "${@:2}"; }

# debian_close FOLDER: the lists are large and soon old.
debian_close() { rm -f "$1"/apt/lists/*Packages*; }
