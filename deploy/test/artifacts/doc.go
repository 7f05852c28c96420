// Package artifacts tests what an operator deploys: the service of systemd, the files for
// Redis and Sentinel, the manifests for Kubernetes, the file for Docker Compose, Grafana's
// dashboard and Prometheus' alerts. Each is read by the program that it is for, or with that
// program's types, and each setting and metric that it names must exist.
//
// The module in testdata/decode reads files with the types of Kubernetes, Compose and
// Grafana. Its modules do not belong to the program.
package artifacts
