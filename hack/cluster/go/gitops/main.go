// What GitOps tools make of an object: Flux by its kstatus library, Argo CD by a Lua health check in the VM it uses.
//
//	gitops [SCRIPT.lua] < objects.json
//
// Standard input is a JSON list of objects; standard output a list of {"flux": {status, message}} in the same order,
// and, with a script, {"argocd": {status, message}} beside it. Exit code 1 where an object, or the script, is none.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type answer struct {
	Flux   verdict  `json:"flux"`
	ArgoCD *verdict `json:"argocd,omitempty"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gitops:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	var objects []map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		return err
	}
	answers := []answer{}
	for _, object := range objects {
		computed, err := status.Compute(&unstructured.Unstructured{Object: integers(object).(map[string]any)})
		if err != nil {
			return err
		}
		one := answer{Flux: verdict{string(computed.Status), computed.Message}}
		if len(arguments) > 0 {
			if one.ArgoCD, err = health(arguments[0], object); err != nil {
				return err
			}
		}
		answers = append(answers, one)
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

// Argo CD opens these libraries for a health check and no others: a script that needs `string` fails there, and here.
var libraries = map[string]lua.LGFunction{
	lua.LoadLibName: lua.OpenPackage,
	lua.BaseLibName: lua.OpenBase,
	lua.TabLibName:  lua.OpenTable,
}

func health(script string, object map[string]any) (*verdict, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, name := range []string{lua.LoadLibName, lua.BaseLibName, lua.TabLibName} {
		state.Push(state.NewFunction(libraries[name]))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", value(state, object))
	if err := state.DoFile(script); err != nil {
		return nil, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return nil, fmt.Errorf("%s returns %s, not a table", script, state.Get(-1).Type())
	}
	return &verdict{lua.LVAsString(table.RawGetString("status")), lua.LVAsString(table.RawGetString("message"))}, nil
}

// As Argo CD hands an object over: lists count from 1, and null is nil.
func value(state *lua.LState, of any) lua.LValue {
	switch known := of.(type) {
	case bool:
		return lua.LBool(known)
	case float64:
		return lua.LNumber(known)
	case string:
		return lua.LString(known)
	case []any:
		table := state.NewTable()
		for _, item := range known {
			table.Append(value(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for name, item := range known {
			table.RawSetString(name, value(state, item))
		}
		return table
	}
	return lua.LNil
}

// Numbers of a Kubernetes object are int64 where they can be: kstatus looks for generations in no other form.
func integers(of any) any {
	switch known := of.(type) {
	case float64:
		if known == float64(int64(known)) {
			return int64(known)
		}
	case []any:
		list := make([]any, len(known))
		for i, item := range known {
			list[i] = integers(item)
		}
		return list
	case map[string]any:
		table := make(map[string]any, len(known))
		for name, item := range known {
			table[name] = integers(item)
		}
		return table
	}
	return of
}
