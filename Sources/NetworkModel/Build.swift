/// What this build of all programs is.
package enum Build {
    package static let version = "0.1.0"
}
