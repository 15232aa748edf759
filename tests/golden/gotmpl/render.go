// Renders templates with Go's own text/template, for tests/e2e/test_go_templates.py to compare with.
// Lines in and out are those of tests/text/gotmpl_render.c, without marks and times. What a template sees of
// a conversation is described in Ollama's template/template.go; this is written anew from that description.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

type kinds []string // a type, or several

func (k *kinds) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*k = kinds{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(k))
}
func (k kinds) MarshalJSON() ([]byte, error) {
	if len(k) == 1 {
		return json.Marshal(k[0])
	}
	return json.Marshal([]string(k))
}
func (k kinds) String() string {
	if len(k) == 1 {
		return k[0]
	}
	if len(k) == 0 {
		return ""
	}
	return fmt.Sprintf("%v", []string(k))
}

type property struct {
	AnyOf       []property `json:"anyOf,omitempty"`
	Type        kinds      `json:"type,omitempty"`
	Items       any        `json:"items,omitempty"`
	Description string     `json:"description,omitempty"`
	Enum        []any      `json:"enum,omitempty"`
	Required    []string   `json:"required,omitempty"`
}
type properties map[string]property

func (p properties) String() string {
	if p == nil {
		return "{}"
	}
	b, _ := json.Marshal(map[string]property(p))
	return string(b)
}

type parameters struct {
	Type       string     `json:"type"`
	Defs       any        `json:"$defs,omitempty"`
	Items      any        `json:"items,omitempty"`
	Required   []string   `json:"required,omitempty"`
	Properties properties `json:"properties"`
}
type function struct {
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Parameters  parameters `json:"parameters"`
}
type tool struct {
	Type     string   `json:"type"`
	Items    any      `json:"items,omitempty"`
	Function function `json:"function"`
}

func (t tool) String() string { b, _ := json.Marshal(t); return string(b) }

type tools []tool

func (t tools) String() string { b, _ := json.Marshal(t); return string(b) }

type arguments map[string]any

func (a arguments) String() string {
	if a == nil {
		return "{}"
	}
	b, _ := json.Marshal(map[string]any(a))
	return string(b)
}

type callFunction struct {
	Index     int
	Name      string
	Arguments arguments
}
type call struct {
	ID       string
	Function callFunction
}
type message struct {
	Role, Content, Thinking string
	Images                  [][]byte
	ToolCalls               []call
	ToolName, ToolCallID    string
}

type request struct {
	Messages []struct {
		Role, Content, Thinking string
		ToolCalls               []call `json:"tool_calls"`
		ToolName                string `json:"tool_name"`
		ToolCallID              string `json:"tool_call_id"`
	}
	Tools  tools
	Think  *bool  `json:"enable_thinking"`
	Effort string `json:"reasoning_effort"`
}

var now time.Time

func typescript(k string) string {
	switch k {
	case "integer":
		return "number"
	case "array":
		return "any[]"
	case "object":
		return "Record<string, any>"
	case "string", "number", "boolean", "null":
		return k
	}
	return "any"
}
func (p property) typescript() string {
	var all []string
	for _, q := range p.AnyOf {
		all = append(all, q.typescript())
	}
	if len(all) == 0 {
		for _, k := range p.Type {
			all = append(all, typescript(k))
		}
	}
	if len(all) == 0 {
		return "any"
	}
	return strings.Join(all, " | ")
}

var functions = template.FuncMap{
	"json":          func(v any) string { b, _ := json.Marshal(v); return string(b) },
	"currentDate":   func(...string) string { return now.Format("2006-01-02") },
	"yesterdayDate": func(...string) string { return now.AddDate(0, 0, -1).Format("2006-01-02") },
	"toTypeScriptType": func(v any) string {
		if p, ok := v.(property); ok {
			return p.typescript()
		}
		return "any"
	},
}

// mentions tells which of the two names occur among the fields and variables of a tree.
func mentions(n parse.Node, seen map[string]bool) {
	list := func(l *parse.ListNode) {
		if l != nil {
			for _, c := range l.Nodes {
				mentions(c, seen)
			}
		}
	}
	branch := func(b *parse.BranchNode) { mentions(b.Pipe, seen); list(b.List); list(b.ElseList) }
	switch n := n.(type) {
	case *parse.ListNode:
		list(n)
	case *parse.ActionNode:
		mentions(n.Pipe, seen)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			mentions(n.Pipe, seen)
		}
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			for _, a := range c.Args {
				mentions(a, seen)
			}
		}
	case *parse.FieldNode:
		for _, i := range n.Ident {
			seen[strings.ToLower(i)] = true
		}
	case *parse.VariableNode:
		for _, i := range n.Ident {
			seen[strings.ToLower(i)] = true
		}
	}
}

// writesResponse tells whether an action's pipeline has the field .Response.
func writesResponse(p *parse.PipeNode) bool {
	for _, c := range p.Cmds {
		for _, a := range c.Args {
			switch a := a.(type) {
			case *parse.FieldNode:
				for _, i := range a.Ident {
					if i == "Response" {
						return true
					}
				}
			case *parse.PipeNode:
				if writesResponse(a) {
					return true
				}
			}
		}
	}
	return false
}

// cutList leaves out what follows the first action that writes .Response.
func cutList(l *parse.ListNode, cut *bool) {
	if l == nil {
		return
	}
	var kept []parse.Node
	for _, n := range l.Nodes {
		if *cut {
			break
		}
		kept = append(kept, n)
		switch n := n.(type) {
		case *parse.ActionNode:
			*cut = writesResponse(n.Pipe)
		case *parse.IfNode:
			cutList(n.List, cut)
			cutList(n.ElseList, cut)
		case *parse.RangeNode:
			cutList(n.List, cut)
			cutList(n.ElseList, cut)
		case *parse.WithNode:
			cutList(n.List, cut)
			cutList(n.ElseList, cut)
		}
	}
	l.Nodes = kept
}

func chat(t *template.Template, source string, r request, out *bytes.Buffer) error {
	seen := map[string]bool{}
	for _, tt := range t.Templates() {
		mentions(tt.Root, seen)
	}
	if !seen["messages"] && !seen["response"] {
		return chat(template.Must(template.New("").Option("missingkey=zero").Funcs(functions).Parse(source+"{{ .Response }}")), source, r, out)
	}
	var system []string
	var all []*message
	for _, m := range r.Messages {
		if m.Role == "system" {
			system = append(system, m.Content)
		}
		if n := len(all); n > 0 && all[n-1].Role == m.Role && m.Role != "tool" {
			all[n-1].Content += "\n\n" + m.Content
			continue
		}
		all = append(all, &message{Role: m.Role, Content: m.Content, Thinking: m.Thinking, ToolCalls: m.ToolCalls,
			ToolName: m.ToolName, ToolCallID: m.ToolCallID})
	}
	think := r.Effort != "" || r.Think != nil && *r.Think
	set := r.Effort != "" || r.Think != nil
	if seen["messages"] {
		return t.Execute(out, map[string]any{"System": strings.Join(system, "\n\n"), "Messages": all, "Tools": r.Tools,
			"Response": "", "Think": think, "ThinkLevel": r.Effort, "IsThinkSet": set})
	}
	var s, p, a string
	round := func(t *template.Template) error {
		err := t.Execute(out, map[string]any{"System": s, "Prompt": p, "Response": a, "Think": think, "ThinkLevel": r.Effort,
			"IsThinkSet": set})
		s, p, a = "", "", ""
		return err
	}
	for _, m := range all {
		var err error
		switch m.Role {
		case "system":
			if p != "" || a != "" {
				err = round(t)
			}
			s = m.Content
		case "user":
			if a != "" {
				err = round(t)
			}
			p = m.Content
		case "assistant":
			a = m.Content
		}
		if err != nil {
			return err
		}
	}
	last := t.Root.CopyList()
	cut := false
	cutList(last, &cut)
	return round(template.Must(template.New("").Option("missingkey=zero").Funcs(functions).AddParseTree("", &parse.Tree{Root: last})))
}

func run(line []byte) (text string, err error) {
	var job struct {
		Template string
		Request  *request
		Data     map[string]any
		Now      int64
	}
	if err := json.Unmarshal(line, &job); err != nil {
		return "", err
	}
	now = time.Unix(job.Now, 0).UTC()
	t, err := template.New("").Option("missingkey=zero").Funcs(functions).Parse(job.Template)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if job.Request != nil {
		err = chat(t, job.Template, *job.Request, &out)
	} else {
		err = t.Execute(&out, job.Data)
	}
	return out.String(), err
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		answer := map[string]string{}
		if text, err := run(line); err != nil {
			answer["error"] = err.Error()
		} else {
			answer["text"] = text
		}
		b, _ := json.Marshal(answer)
		os.Stdout.Write(append(b, '\n'))
	}
}
