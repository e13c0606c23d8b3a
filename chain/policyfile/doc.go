// Package policyfile reads what an operator decides about images, a
// [chain.Policy], from a YAML file.
//
// docs/policy.md explains the file to those who write it, and
// docs/policy.schema.json describes it to editors. The reader is stricter than
// YAML: whatever could make one text mean two things, to two readers or to a
// reader and a person, is refused, and so is every key that it does not know.
// No path in the file is looked at.
package policyfile
