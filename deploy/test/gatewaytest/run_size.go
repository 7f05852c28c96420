package gatewaytest

import (
	"os"
	"strconv"
)

// RunSize returns one size of a test: the value of TOKENGATE_<name> if it is set, else full if
// TOKENGATE_FULL is set, else quick. The name is empty for a size without a variable of its own.
func RunSize(name string, quick, full int) int {
	if n, err := strconv.Atoi(os.Getenv("TOKENGATE_" + name)); name != "" && err == nil {
		return n
	}
	if os.Getenv("TOKENGATE_FULL") != "" {
		return full
	}
	return quick
}
