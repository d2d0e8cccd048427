#include "build/failure.h"

#include <gtest/gtest.h>

namespace sterna::build {
namespace {

Recipe recipe_of(api::BuildKind kind, std::string requirements = {}) {
  Recipe recipe;
  recipe.kind = kind;
  recipe.argv = {"/usr/bin/python3"};
  recipe.network = Network::kEgress;
  recipe.inputs = {{"requirements.txt", std::move(requirements)}};
  return recipe;
}

std::string reason(const Recipe& recipe, std::string_view output) {
  return failure_reason(recipe, output, "exited with status 1");
}

TEST(Failure, CompilersFirstErrorWithItsPlace) {
  const Recipe cpp = recipe_of(api::BuildKind::kCpp);
  EXPECT_EQ(reason(cpp,
                   "handler.cc: In function 'f':\nhandler.cc:2:1: warning: w\nhandler.cc:3:5: error: one\n"
                   "handler.cc:4:5: error: two\n"),
            "handler.cc:3:5: error: one");
  EXPECT_EQ(reason(cpp, "handler.cc:1:10: fatal error: 'x.h' file not found\nmore: error: y\n"),
            "handler.cc:1:10: fatal error: 'x.h' file not found");
  EXPECT_EQ(reason(cpp, "\n"), "exited with status 1");
  EXPECT_EQ(reason(cpp, "something odd\n"), "something odd (exited with status 1)");
}

TEST(Failure, PipsMissingPackageWithItsLine) {
  EXPECT_EQ(
      reason(recipe_of(api::BuildKind::kPython, "a\nNo.Such[x]>=2\n"),
             "ERROR: Could not find a version that satisfies the requirement no-such[x]>=2 (from versions: "
             "none)\nERROR: No matching distribution found for no-such[x]>=2\n"),
      "requirements.txt, line 2: there is no no-such[x]>=2 for this Python; correct name and version, or put "
      "a wheel of it into wheels/");
}

TEST(Failure, PipsOtherErrors) {
  const Recipe pip = recipe_of(api::BuildKind::kPython, "a==1 --hash=sha256:00\n");
  EXPECT_EQ(reason(pip, "/usr/bin/python3: No module named pip\n"),
            "/usr/bin/python3 has no pip; install python3-pip on the server");
  EXPECT_TRUE(reason(pip,
                     "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you...\n"
                     "    a==1 from file:///wheels/a.whl (from -r requirements.txt (line 1)):\n"
                     "        Expected sha256 00\n             Got        11\n")
                  .starts_with("requirements.txt, line 1: what was found for a==1 has another hash"));
  EXPECT_TRUE(reason(pip, "ERROR: In --require-hashes mode, all requirements must have...\n")
                  .starts_with("requirements.txt: with a --hash anywhere"));
  EXPECT_EQ(reason(pip, "ERROR: one\nERROR: two\n"), "requirements.txt: two");
}

TEST(Failure, PipsUnreachableIndexIsNotThePackagesFault) {
  Recipe pip = recipe_of(api::BuildKind::kPython, "six\n");
  pip.argv = {"/usr/bin/python3", "--index-url", "http://10.0.0.1/simple"};
  const std::string output =
      "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError('<a.B "
      "object at "
      "0x7>: Failed to establish a new connection: [Errno 113] No route to host')': /simple/six/\n"
      "ERROR: Could not find a version that satisfies the requirement six (from versions: none)\n"
      "ERROR: No matching distribution found for six\n";
  const std::string told = reason(pip, output);
  EXPECT_TRUE(told.starts_with(
      "requirements.txt: the package index http://10.0.0.1/simple cannot be reached (No route "
      "to host); "))
      << told;
  EXPECT_TRUE(told.contains("build.pip_index_url") && told.contains("egress_private")) << told;
}

TEST(Failure, NpmsUnreachableRegistry) {
  Recipe npm = recipe_of(api::BuildKind::kNode);
  npm.argv = {"npm", "ci", "--registry=http://10.0.0.1/"};
  const std::string told =
      reason(npm, "npm ERR! code EHOSTUNREACH\nnpm ERR! syscall connect\nnpm ERR! errno EHOSTUNREACH\n");
  EXPECT_TRUE(
      told.starts_with("package.json: the registry http://10.0.0.1/ cannot be reached (EHOSTUNREACH); "))
      << told;
  EXPECT_TRUE(told.contains("build.npm_registry") && told.contains("egress_private")) << told;
}

TEST(Failure, WhatIsMissingWhenLinkedWithTheSourcesLeftOut) {
  Recipe cpp = recipe_of(api::BuildKind::kCpp);
  const std::string output =
      "/usr/bin/ld: /tmp/x.o: in function `f':\nx.cc:(.text+0x1): undefined reference to `add'\n"
      "collect2: error: ld returned 1 exit status\n";
  EXPECT_EQ(reason(cpp, output), "x.cc:(.text+0x1): undefined reference to `add'");
  cpp.what = "handler.cc with c++, without add.c (only .cc and .cpp are compiled)";
  EXPECT_EQ(
      reason(cpp, output),
      "x.cc:(.text+0x1): undefined reference to `add'; built without add.c (only .cc and .cpp are compiled)");
}

TEST(Failure, AHandlerThatIsMissing) {
  EXPECT_EQ(reason(recipe_of(api::BuildKind::kCpp),
                   "handler.cc:(.text.sterna_handle_v1[sterna_handle_v1]+0x6c): undefined reference to "
                   "`handle(sterna::Request const&)'\n"),
            "handler.cc defines no `sterna::Response handle(const sterna::Request& request)`: define it, "
            "outside of "
            "any namespace");
}

TEST(Failure, PipsContradictionWithBothSides) {
  EXPECT_EQ(
      reason(recipe_of(api::BuildKind::kPython),
             "ERROR: Cannot install a==1 and a==2 because these package versions have conflicting "
             "dependencies.\n\nThe conflict is caused by:\n    The user requested a==1\n    b 2 depends on "
             "a>=2\n\nTo fix this you could try to:\n1. loosen the range\n\nERROR: ResolutionImpossible: for "
             "help visit https://x\n"),
      "requirements.txt: these cannot be installed together: The user requested a==1; b 2 depends on a>=2");
}

TEST(Failure, TheProgramsThatPipStartsAreHeard) {
  const Recipe pip = recipe_of(api::BuildKind::kPython);
  EXPECT_EQ(
      reason(
          pip,
          "  fatal: unable to access 'https://h/x/': Could not resolve host: h\n  error: "
          "subprocess-exited-with-error\n  \u00d7 git clone x did not run successfully.\n  \u2502 exit code: "
          "128\n  \u2570\u2500> See above for output.\n  note: This error originates from a subprocess\n"),
      "requirements.txt: git clone x: fatal: unable to access 'https://h/x/': Could not resolve host: h");
  EXPECT_EQ(
      reason(
          pip,
          "  error: subprocess-exited-with-error\n  \u00d7 Getting requirements to build wheel did not run "
          "successfully.\n  \u2502 exit code: 1\n  \u2570\u2500> [2 lines of output]\n      Traceback:\n     "
          " "
          "ModuleNotFoundError: No module named 'x'\n      [end of output]\n  note: This error originates\n"),
      "requirements.txt: Getting requirements to build wheel: ModuleNotFoundError: No module named 'x'");
}

TEST(Failure, NpmsScriptsAreHeard) {
  const Recipe npm = recipe_of(api::BuildKind::kNode);
  const std::string end =
      "npm error code 127\nnpm error path /function\nnpm error command failed\nnpm error command sh -c husky "
      "install\n";
  EXPECT_EQ(reason(npm, "> prepare\n> husky install\n\nsh: 1: husky: not found\n" + end),
            "package.json: the script `husky install` failed: sh: 1: husky: not found");
  EXPECT_EQ(
      reason(npm,
             "> prepare\n> husky install\n/x.js:1\nthrow\nError: no .git\n    at x\n\nNode.js v20\n" + end),
      "package.json: the script `husky install` failed: /x.js:1: Error: no .git");
  EXPECT_EQ(reason(npm, end), "package.json: command failed; command sh -c husky install");
}

// What a script printed, and npm then.
std::string failed(std::string_view said, std::string_view command, std::string_view path = "/function") {
  std::string text = "\n> postinstall\n> ";
  text.append(command).append("\n\n").append(said);
  text.append("npm error code 1\nnpm error path ").append(path);
  return text.append("\nnpm error command failed\nnpm error command sh -c ").append(command).append("\n");
}

TEST(Failure, NpmsScriptsNameFileAndLine) {
  const Recipe npm = recipe_of(api::BuildKind::kNode);
  EXPECT_EQ(reason(npm, failed("/function/gen.js:2\nthrow new TypeError(\"x not found\");\n^\n\n"
                               "TypeError: x not found\n    at Object.<anonymous> (/function/gen.js:2:7)\n\n"
                               "Node.js v20.20.2\n",
                               "node gen.js")),
            "package.json: the script `node gen.js` failed: /function/gen.js:2: TypeError: x not found");
  EXPECT_EQ(
      reason(npm,
             failed("Traceback (most recent call last):\n  File \"/function/gen.py\", line 3, in g\n"
                    "    return json.loads(\"{\")\n  File \"/usr/lib/python3.11/json/decoder.py\", line 353, "
                    "in raw_decode\nValueError: no\n",
                    "python3 gen.py")),
      "package.json: the script `python3 gen.py` failed: /function/gen.py:3: ValueError: no");
}

TEST(Failure, BundlersNameFileAndLineWithoutColours) {
  const Recipe npm = recipe_of(api::BuildKind::kNode);
  EXPECT_EQ(
      reason(npm,
             failed("\u2718 [ERROR] Unexpected \";\"\n\n    src/a.ts:2:18:\n      2 \u2502 const y = ;\n\n"
                    "1 error\n",
                    "esbuild")),
      "package.json: the script `esbuild` failed: src/a.ts:2:18: Unexpected \";\"");
  EXPECT_EQ(
      reason(npm,
             failed("transforming...\nx Build failed in 14ms\nerror during build:\n"
                    "src/e.js (2:10): Expression expected\nfile: /function/src/e.js:2:10\n\n2: const b = ;\n",
                    "vite build")),
      "package.json: the script `vite build` failed: src/e.js (2:10): Expression expected");
  EXPECT_EQ(
      reason(
          npm,
          failed(
              "\x1b[1m\x1b[31m[!] \x1b[1mRollupError: src/i.js (2:10): Expression expected\x1b[22m\x1b[39m\n"
              "src/i.js (2:10)\n",
              "rollup")),
      "package.json: the script `rollup` failed: [!] RollupError: src/i.js (2:10): Expression expected");
  EXPECT_EQ(reason(npm, "odd\x1b[1"), "odd (exited with status 1)") << "a colour that is cut off";
  EXPECT_EQ(reason(npm, "odd\x1b[1\nlast\n"), "last (exited with status 1)");
}

TEST(Failure, APackagesScriptIsThePackages) {
  const Recipe npm = recipe_of(api::BuildKind::kNode);
  EXPECT_EQ(reason(npm, failed("Error: no chrome\n", "node install.mjs", "/function/node_modules/puppeteer")),
            "node_modules/puppeteer/package.json: the script `node install.mjs` failed: Error: no chrome");
}

TEST(Failure, ToolsOfDevelopmentAreNotInstalled) {
  Recipe npm = recipe_of(api::BuildKind::kNode);
  npm.inputs.push_back({"package.json", R"({"devDependencies": {"typescript": "5"}})"});
  EXPECT_EQ(reason(npm, failed("sh: 1: tsc: not found\n", "npm run build")),
            "package.json: the script `npm run build` failed: sh: 1: tsc: not found; devDependencies are not "
            "installed: what the script needs belongs into dependencies");
  EXPECT_EQ(reason(npm, failed("sh: 1: tsc: not found\n", "tsc", "/function/lib")),
            "lib/package.json: the script `tsc` failed: sh: 1: tsc: not found");
}

TEST(Failure, AnErrorInAHeaderNamesTheCodeThatUsesIt) {
  const Recipe cpp = recipe_of(api::BuildKind::kCpp);
  EXPECT_EQ(reason(cpp,
                   "/usr/include/a.h: In instantiation of 'f':\n/usr/include/b.h:4:18:   required from 'g'\n"
                   "handler.cc:5:80:   required from here\n/usr/include/a.h:45:23: error: no match\n"
                   "handler.cc:9:1:   required from here\n/usr/include/a.h:69:22: error: no match\n"),
            "handler.cc:5:80: /usr/include/a.h:45:23: error: no match");
  EXPECT_EQ(reason(cpp,
                   "/usr/include/a.h:45:23: error: no match\n/usr/include/b.h:1:1: note: in instantiation of "
                   "function template requested here\nhandler.cc:5:71: note: in instantiation of function "
                   "template specialization 'sort' requested here\n"),
            "handler.cc:5:71: /usr/include/a.h:45:23: error: no match");
  EXPECT_EQ(reason(cpp, "/usr/include/a.h:45:23: error: no match\nhandler.cc:1:1: error: x\n"),
            "/usr/include/a.h:45:23: error: no match");
}

TEST(Failure, WhatPipCompilesNamesFileAndLine) {
  EXPECT_EQ(
      reason(
          recipe_of(api::BuildKind::kPython),
          "  error: subprocess-exited-with-error\n  \u00d7 python setup.py bdist_wheel did not run "
          "successfully.\n  \u2570\u2500> [3 lines of output]\n      q.c:2:8: error: expected declaration\n"
          "      error: command '/usr/bin/gcc' failed with exit code 1\n      [end of output]\n"),
      "requirements.txt: python setup.py bdist_wheel: q.c:2:8: error: expected declaration");
}

TEST(Failure, NpmsMarksAreLeftOut) {
  const Recipe npm = recipe_of(api::BuildKind::kNode);
  EXPECT_EQ(reason(npm, "npm ERR! npm ERR! cmake is missing\nnpm ERR!\n"), "package.json: cmake is missing");
  EXPECT_EQ(reason(npm, "npm ERR! A complete log of this run can be found in: /x\n"),
            "A complete log of this run can be found in: /x (exited with status 1)");
}

TEST(Failure, NpmsMissingPackage) {
  const Recipe npm = recipe_of(api::BuildKind::kNode);
  EXPECT_EQ(
      reason(
          npm,
          "npm error code E404\nnpm error 404 Not Found - GET https://r/no-such - Not found\nnpm error 404\n"
          "npm error 404  'no-such@1' is not in this registry.\nnpm error A complete log of this run\n"),
      "package.json: Not Found - GET https://r/no-such - Not found; 'no-such@1' is not in this registry.; "
      "correct name and version");
  EXPECT_TRUE(reason(npm, "npm error code EUSAGE\nnpm error `npm ci` can only ... are in sync. Please\n")
                  .starts_with("package.json and package-lock.json do not go together"));
  EXPECT_TRUE(reason(npm, "npm error code ENOTCACHED\nnpm error request failed\n").contains("offline"));
  EXPECT_EQ(reason(npm, "npm ERR! code 3\nnpm ERR! path /function\nnpm ERR! command failed\n"),
            "package.json: command failed");
}

TEST(Failure, IsCutAtACharacter) {
  std::string line = "x.cc:1:1: error: ";
  while (line.size() < 2000) line += "é";
  const std::string told = reason(recipe_of(api::BuildKind::kCpp), line + "\n");
  EXPECT_LT(told.size(), 700U);
  EXPECT_TRUE(told.ends_with("..."));
  EXPECT_NE(static_cast<unsigned char>(told[told.size() - 4]), 0xC3U);
}

}  // namespace
}  // namespace sterna::build
