package storage

import "testing"

// Every JSON driver that is read, and every name of the table, is there once.
func TestProtocols(t *testing.T) {
	known := make(map[string]Protocol)
	for _, p := range protocols {
		if _, twice := known[p.Name]; twice {
			t.Errorf("%s is there twice", p.Name)
		}
		known[p.Name] = p
		if p.local && (p.Port != 0 || p.Read != ReadByNothing || NetworkProtocol(p.Name).Name != "") {
			t.Errorf("%s is local and something on the network", p.Name)
		}
		if p.curl && !p.paths || p.Query && !p.curl {
			t.Errorf("%s has URLs without paths", p.Name)
		}
		if driverNamed(p.Name) == nil {
			t.Errorf("no JSON description of %s is read", p.Name)
		}
		if IsProtocolDriver(p.Name) != p.driver {
			t.Errorf("%s is a driver: %t", p.Name, !p.driver)
		}
	}
	if len(known) != len(drivers) {
		t.Errorf("%d protocols, %d JSON drivers", len(known), len(drivers))
	}
	if IsProtocolDriver("raw") || IsProtocolDriver("") || NetworkProtocol("").Name != "" {
		t.Error("something that is no protocol is one")
	}
}
