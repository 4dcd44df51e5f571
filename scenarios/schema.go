package scenarios

import (
	"net/http"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/workload"
)

// registries are asked for the schemas that values are written by.
func registries() []harness.Scenario {
	return []harness.Scenario{
		{
			Name: "unknown-schemas",
			Doc:  "Some messages name a schema that the registry does not know: they are dead-lettered as they are, and only they.",
			Tags: []string{"ci", "schema", "poison"}, Schemas: true, Mix: workload.Mix{Undecodable: 6, Tombstones: 3},
			Faults: []fault.Fault{fault.UnknownSchemas{}},
		},
		{
			Name: "registry-down",
			Doc:  "The registry is away for five seconds while messages come by a schema that nobody has seen: the members wait, and nothing is lost, skipped or dead-lettered.",
			Tags: []string{"ci", "schema"}, Schemas: true, Faults: []fault.Fault{fault.RegistryTrouble{}},
		},
		{
			Name: "registry-unavailable",
			Doc:  "The registry answers 503 for five seconds while messages come by a schema that nobody has seen: the members wait, and nothing is lost, skipped or dead-lettered.",
			Tags: []string{"ci", "schema"}, Schemas: true, Faults: []fault.Fault{fault.RegistryTrouble{Status: http.StatusServiceUnavailable}},
		},
		{
			Name: "registry-slow",
			Doc:  "The registry takes two seconds for each answer while messages come by a schema that nobody has seen: the members wait, stay in their group, and lose nothing.",
			Tags: []string{"ci", "schema"}, Schemas: true, SessionTimeout: 2 * time.Second,
			Faults: []fault.Fault{fault.RegistryTrouble{Delay: 2 * time.Second}},
		},
	}
}
