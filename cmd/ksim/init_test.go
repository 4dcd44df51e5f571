package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/ksim-dev/ksim/internal/golden"
)

// inProject makes a directory with these files the working directory.
func inProject(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

func TestFindProject(t *testing.T) {
	const guessed = "guessed"
	for what, c := range map[string]struct {
		files   map[string]string
		command string
		build   string
		guess   string
	}{
		"go":               {map[string]string{"go.mod": "", "main.go": "", "package.json": "{}"}, "./bin/consumer", "go build -o bin/consumer .", ""},
		"go, one command":  {map[string]string{"go.mod": "", "cmd/billing/main.go": ""}, "./bin/consumer", "go build -o bin/consumer ./cmd/billing", ""},
		"go, two commands": {map[string]string{"go.mod": "", "cmd/a/main.go": "", "cmd/b/main.go": ""}, "./bin/consumer", "go build -o bin/consumer ./cmd/a", guessed},
		"rust":             {map[string]string{"Cargo.toml": "[workspace]\n[package]\nname = \"billing\"\n"}, "target/release/billing", "cargo build --release", ""},
		"rust, workspace":  {map[string]string{"Cargo.toml": "[workspace]\n"}, "target/release/consumer", "cargo build --release", guessed},
		"java":             {map[string]string{"pom.xml": "<project><artifactId>billing</artifactId><version>1.2</version></project>"}, "java -jar target/billing-1.2.jar", "mvn -q -B package -DskipTests", ""},
		"java, named jar":  {map[string]string{"pom.xml": "<project><artifactId>a</artifactId><build><finalName>billing</finalName></build></project>"}, "java -jar target/billing.jar", "mvn -q -B package -DskipTests", ""},
		"java, parent":     {map[string]string{"pom.xml": "<project><artifactId>a</artifactId><version>${revision}</version></project>"}, "java -jar target/a-${revision}.jar", "mvn -q -B package -DskipTests", guessed},
		"gradle":           {map[string]string{"build.gradle.kts": ""}, "java -jar build/libs/consumer.jar", "./gradlew build -x test", guessed},
		"python":           {map[string]string{"requirements.txt": "", "consumer.py": "", "setup.py": ""}, "python3 consumer.py", "pip install -r requirements.txt", ""},
		"python, project":  {map[string]string{"pyproject.toml": ""}, "python3 worker.py", "pip install .", guessed},
		"python, a script": {map[string]string{"billing_worker.py": ""}, "python3 billing_worker.py", "", ""},
		"node":             {map[string]string{"package.json": `{"scripts": {"start": "node src/main.js --fast", "build": "tsc"}}`, "package-lock.json": ""}, "node src/main.js --fast", "npm ci; npm run build", ""},
		"node, main":       {map[string]string{"package.json": `{"main": "./lib/index.js"}`}, "node lib/index.js", "npm install", ""},
		"node, other":      {map[string]string{"package.json": `{"scripts": {"start": "nodemon"}}`}, "node worker.js", "npm install", guessed},
	} {
		inProject(t, c.files)
		p, err := findProject(".", "")
		if err != nil || strings.Join(p.Command, " ") != c.command || strings.Join(p.Build, "; ") != c.build || p.Guessed != (c.guess == guessed) {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
		if want, _, _ := strings.Cut(strings.Replace(what, "gradle", "java", 1), ","); p.Language != want {
			t.Errorf("%s was taken for %s", what, p.Language)
		}
	}
	inProject(t, map[string]string{"README.md": ""})
	if _, err := findProject(".", ""); err == nil || !strings.Contains(err.Error(), "--language") {
		t.Errorf("an empty directory: %v", err)
	}
}

// What init writes is in testdata, and ksim reads it.
func TestInit(t *testing.T) {
	markers := map[string]map[string]string{
		"go": {"go.mod": "", "main.go": ""}, "rust": {"Cargo.toml": "[package]\nname = \"billing\"\n"}, "java": {"build.gradle": ""},
		"python": {"requirements.txt": "", "worker.py": ""}, "node": {"package.json": `{"main": "worker.js"}`},
	}
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range languageNames() {
		var all strings.Builder
		for _, ci := range []string{"github", "gitlab"} {
			inProject(t, markers[language])
			status, stdout, stderr := ksim("init", "--ci", ci)
			if status != exitHeld {
				t.Fatalf("%s, %s: exit status %d\n%s%s", language, ci, status, stdout, stderr)
			}
			if _, err := readConfig(""); err != nil {
				t.Errorf("%s: ksim cannot read what it wrote: %v", language, err)
			}
			all.WriteString(stdout)
			for _, path := range []string{defaultConfig, pipelines[ci].path} {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				var any map[string]any
				if err := yaml.Unmarshal(text, &any); err != nil || len(any) == 0 {
					t.Errorf("%s: %s is no YAML: %v", language, path, err)
				}
				all.WriteString("\n== " + path + "\n" + string(text) + "\n")
			}
		}
		golden.Check(t, filepath.Join(home, "testdata", "init-"+language+".txt"), []byte(all.String()))
	}
}

func TestInitLeavesFilesAlone(t *testing.T) {
	inProject(t, map[string]string{"main.py": "", "ksim.yaml": "seed: 7\n"})
	status, _, stderr := ksim("init", "--ci", "none", "--", "python3", "main.py", "--dir", "it's")
	if status != exitFailed || !strings.Contains(stderr, "ksim.yaml exists already, so nothing was written") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	status, _, stderr = ksim("init")
	if _, err := os.Stat(".github"); status != exitFailed || err == nil {
		t.Errorf("exit status %d, and the workflow was written: %s", status, stderr)
	}
	if status, stdout, stderr := ksim("init", "--ci", "none", "--force", "--", "python3", "main.py", "--dir", "it's"); status != exitHeld || !strings.Contains(stdout, `python3 main.py --dir 'it'\''s'`) {
		t.Errorf("exit status %d: %s%s", status, stdout, stderr)
	}
	file, err := readConfig("")
	if err != nil || !slices.Equal(file.Subject.Command, []string{"python3", "main.py", "--dir", "it's"}) || file.Seed != 0 {
		t.Errorf("%+v, %v", file, err)
	}
	for want, args := range map[string][]string{
		`no CI system "jenkins"`: {"init", "--ci", "jenkins", "--force"},
		`no language "cobol"`:    {"init", "--language", "cobol", "--force"},
	} {
		if status, _, stderr := ksim(args...); status != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit status %d: %s", args, status, stderr)
		}
	}
}
