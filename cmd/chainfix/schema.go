package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/docs/schema"
)

func schemaCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "schema",
		Usage:       "print the JSON Schema of a command's JSON output",
		ArgsUsage:   "[NAME]",
		Description: schemaDescription,
		Action:      func(c *cli.Context) error { return printSchema(c, std) },
	}
}

func printSchema(c *cli.Context, std streams) error {
	if err := atMost(c, 1, "one name"); err != nil {
		return err
	}
	if c.NArg() == 0 {
		return listSchemas(std)
	}
	name := c.Args().First()
	text, ok := schema.Read(name)
	if !ok {
		if near := nearest(name, schema.Names()); near != "" {
			return usageError("no schema is called %q; did you mean %q?", name, near)
		}
		return usageError("no schema is called %q (chainfix schema lists them all)", name)
	}
	return write(std.out, text)
}

// listSchemas prints a line for each schema.
func listSchemas(std streams) error {
	var list strings.Builder
	table := tabwriter.NewWriter(&list, 0, 8, 2, ' ', 0)
	for _, name := range schema.Names() {
		title, err := schemaTitle(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "%s\t%s\n", name, title)
	}
	table.Flush()
	return write(std.out, []byte(list.String()))
}

func schemaTitle(name string) (string, error) {
	text, _ := schema.Read(name)
	var of struct {
		Title string `json:"title"`
	}
	if err := json.Unmarshal(text, &of); err != nil {
		return "", fmt.Errorf("the schema %q: %w", name, err)
	}
	return of.Title, nil
}
