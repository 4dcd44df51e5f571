package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// project is what ksim init found in a directory.
type project struct {
	Language string
	Command  []string // starts one member
	Guessed  bool     // nothing there says what the command is
	Build    []string // shell lines to run before
	Setup    string   // step of a workflow that brings the language: a template's name
	Image    string   // of a container with the language
	dir      string
}

// language is one that ksim init knows.
type language struct {
	name    string
	markers []string // any of these files tells
	find    func(*project)
}

// languages are looked for in this order: a Python service may have a package.json for its tools, hardly
// the other way round.
func languages() []language {
	return []language{
		{"go", []string{"go.mod"}, findGo},
		{"rust", []string{"Cargo.toml"}, findRust},
		{"java", []string{"pom.xml", "build.gradle", "build.gradle.kts"}, findJava},
		{"python", []string{"pyproject.toml", "requirements.txt", "setup.py", "Pipfile", "*.py"}, findPython},
		{"node", []string{"package.json", "*.js", "*.mjs", "*.ts"}, findNode},
	}
}

func languageNames() (names []string) {
	for _, l := range languages() {
		names = append(names, l.name)
	}
	return names
}

// findProject looks what a directory holds; name, if not empty, says the language.
func findProject(dir, name string) (project, error) {
	p := project{dir: dir}
	if name != "" && !slices.Contains(languageNames(), name) {
		return p, fmt.Errorf("there is no language %q here; choose one of %s", name, strings.Join(languageNames(), ", "))
	}
	for _, l := range languages() {
		if name == l.name || name == "" && p.first(l.markers...) != "" {
			p.Language = l.name
			l.find(&p)
			return p, nil
		}
	}
	return p, fmt.Errorf("nothing here tells what the consumer is written in; say --language with one of %s, or start ksim init where its sources are", strings.Join(languageNames(), ", "))
}

// first returns the first file that one of the patterns matches, "" if there is none.
func (p *project) first(patterns ...string) string {
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(filepath.Join(p.dir, pattern)); len(found) > 0 {
			return filepath.Base(found[0])
		}
	}
	return ""
}

func (p *project) text(name string) string {
	text, _ := os.ReadFile(filepath.Join(p.dir, name)) // what is not there says nothing
	return string(text)
}

func findGo(p *project) {
	p.Setup, p.Image = "go", "golang:1.26"
	p.Command, p.Build = []string{"./bin/consumer"}, []string{"go build -o bin/consumer ."}
	if mains, _ := filepath.Glob(filepath.Join(p.dir, "cmd", "*", "main.go")); len(mains) > 0 {
		p.Build = []string{"go build -o bin/consumer ./cmd/" + filepath.Base(filepath.Dir(mains[0]))}
		p.Guessed = len(mains) > 1
	} else if p.first("main.go") == "" {
		p.Guessed = true
	}
}

var crateName = regexp.MustCompile(`(?ms)^\[package\].*?^name\s*=\s*"([^"]+)"`)

func findRust(p *project) {
	p.Setup, p.Image, p.Build = "rust", "rust:1", []string{"cargo build --release"}
	name := "consumer"
	if m := crateName.FindStringSubmatch(p.text("Cargo.toml")); m != nil {
		name = m[1]
	} else {
		p.Guessed = true
	}
	p.Command = []string{"target/release/" + name}
}

func findJava(p *project) {
	p.Setup, p.Image = "java", "maven:3-eclipse-temurin-21"
	var pom struct {
		ArtifactID string `xml:"artifactId"`
		Version    string `xml:"version"`
		Build      struct {
			FinalName string `xml:"finalName"`
		} `xml:"build"`
	}
	if p.first("pom.xml") == "" {
		p.Image = "gradle:8-jdk21"
		p.Build, p.Command, p.Guessed = []string{"./gradlew build -x test"}, []string{"java", "-jar", "build/libs/consumer.jar"}, true
		return
	}
	p.Build = []string{"mvn -q -B package -DskipTests"}
	jar := "consumer"
	if err := xml.Unmarshal([]byte(p.text("pom.xml")), &pom); err != nil || pom.ArtifactID == "" || strings.Contains(pom.Build.FinalName, "$") {
		p.Guessed = true
	} else if jar = pom.Build.FinalName; jar == "" {
		jar = pom.ArtifactID + "-" + pom.Version
		p.Guessed = pom.Version == "" || strings.Contains(pom.Version, "$") // it comes from a parent
	}
	p.Command = []string{"java", "-jar", "target/" + jar + ".jar"}
}

func findPython(p *project) {
	p.Setup, p.Image = "python", "python:3.13"
	switch {
	case p.first("requirements.txt") != "":
		p.Build = []string{"pip install -r requirements.txt"}
	case p.first("pyproject.toml", "setup.py") != "":
		p.Build = []string{"pip install ."}
	case p.first("Pipfile") != "":
		p.Build = []string{"pip install pipenv && pipenv install --system"}
	}
	script := p.first("worker.py", "consumer.py", "main.py", "app.py", "*consumer*.py", "*worker*.py")
	if p.Guessed = script == ""; p.Guessed {
		script = "worker.py"
	}
	p.Command = []string{"python3", script}
}

func findNode(p *project) {
	p.Setup, p.Image = "node", "node:22"
	if p.Build = []string{"npm install"}; p.first("package-lock.json") != "" {
		p.Build = []string{"npm ci"}
	}
	var pkg struct {
		Main    string            `json:"main"`
		Scripts map[string]string `json:"scripts"`
	}
	_ = json.Unmarshal([]byte(p.text("package.json")), &pkg) // what cannot be read says nothing
	if pkg.Scripts["build"] != "" {
		p.Build = append(p.Build, "npm run build")
	}
	// Not npm start: npm does not hand SIGTERM on in every version, and the consumer would be killed instead of stopped.
	start, isNode := strings.CutPrefix(pkg.Scripts["start"], "node ")
	switch {
	case isNode:
		p.Command = append([]string{"node"}, strings.Fields(start)...)
	case pkg.Main != "":
		p.Command = []string{"node", path.Clean(pkg.Main)}
	default:
		script := p.first("worker.js", "consumer.js", "index.js", "main.js", "*.mjs", "*.js")
		if p.Guessed = script == ""; p.Guessed {
			script = "worker.js"
		}
		p.Command = []string{"node", script}
	}
}
