// Package schemas gives a scenario schemas: it writes values in Confluent's wire format (a zero byte,
// four bytes of schema id, the Avro body) by schemas that are registered in a Schema Registry, and stands
// between that registry and the members as a proxy that can be down, slow or wrong.
package schemas
