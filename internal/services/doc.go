// Package services starts the real services that tests need, from packages: no
// mocks, no containers. Each is a child process on 127.0.0.1 that ends with the
// test binary at the latest, even if that is killed. Where one is not installed,
// the test is skipped with the command that gets it; with KSIM_REQUIRE_CONTAINERS=1
// it fails.
package services
