#include "base/last_words.h"

#include <gtest/gtest.h>

namespace sterna {
namespace {

TEST(LastWordsTest, AreTheLastLineThatSaysSomething) {
  EXPECT_EQ(last_words_of(""), "");
  EXPECT_EQ(last_words_of("\n \n"), "");
  EXPECT_EQ(last_words_of("one\ntwo\n\n"), "two");
  EXPECT_EQ(last_words_of(std::string(2000, 'x')).size(), 500U);
}

TEST(LastWordsTest, OfNodeAreTheErrorWithItsPlace) {
  EXPECT_EQ(
      last_words_of("/function/index.js:1\nconst x = ;\n          ^\n\nSyntaxError: Unexpected token ';'\n"
                    "    at wrapSafe (node:internal/modules/cjs/loader:1464:18)\n\nNode.js v20.20.2\n"),
      "/function/index.js:1: SyntaxError: Unexpected token ';'");
  EXPECT_EQ(
      last_words_of(
          "file:///function/a.mjs:3\n  throw new RangeError('far');\n  ^\n\nRangeError: far\n    at a\n\n"
          "Node.js v20.20.2\n"),
      "file:///function/a.mjs:3: RangeError: far");
}

TEST(LastWordsTest, OfNodeLeaveItsOwnPlacesOut) {
  EXPECT_EQ(last_words_of("node:internal/modules/cjs/loader:1228\n  throw err;\n  ^\n\n"
                          "Error: Cannot find module 'express'\nRequire stack:\n- /function/index.js\n"
                          "    at Module._load (node:internal/modules/cjs/loader:1051:27) {\n"
                          "  code: 'MODULE_NOT_FOUND'\n}\n\nNode.js v20.20.2\n"),
            "Error: Cannot find module 'express'");
  EXPECT_EQ(
      last_words_of("Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'x'\n    at a\n\nNode.js v20.20.2"),
      "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'x'");
}

TEST(LastWordsTest, OfNodeNameThePlaceInTheFunctionThatCalledNode) {
  EXPECT_EQ(last_words_of("node:fs:573\n  return binding.writeFileUtf8(\n         ^\n\n"
                          "Error: EROFS: read-only file system, open './cache.json'\n"
                          "    at Object.writeFileSync (node:fs:2428:20)\n"
                          "    at save (/function/node_modules/x/i.js:7:1)\n"
                          "    at Object.<anonymous> (/function/s.js:2:15)\n"
                          "    at main (/function/t.js:9:1)\n  errno: -30\n}\n\nNode.js v20.20.2\n"),
            "/function/s.js:2: Error: EROFS: read-only file system, open './cache.json'");
}

constexpr std::string_view kPython =
    "Traceback (most recent call last):\n  File \"/function/app.py\", line 1, in <module>\n    import lib\n"
    "  File \"/function/lib.py\", line 3, in <module>\n    go()\n    ^^^^\n"
    "  File \"/function/python_packages/x/y.py\", line 30, in go\n    raise KeyError('x')\nKeyError: 'x'\n";

TEST(LastWordsTest, OfPythonAreTheErrorWithTheInnermostPlaceInTheFunction) {
  EXPECT_EQ(last_words_of(kPython), "/function/lib.py:3: KeyError: 'x'");
  EXPECT_EQ(last_words_of("  File \"/function/app.py\", line 2\n    def x(\n         ^\n"
                          "SyntaxError: '(' was never closed\n"),
            "/function/app.py:2: SyntaxError: '(' was never closed");
  EXPECT_EQ(last_words_of("Traceback (most recent call last):\n  File \"<string>\", line 1, in <module>\n"
                          "ModuleNotFoundError: No module named 'x'\n"),
            "ModuleNotFoundError: No module named 'x'");
}

TEST(LastWordsTest, OfPythonMayBeFollowedByTheRestOfAMessageAndByAServersLines) {
  EXPECT_EQ(last_words_of(std::string(kPython) +
                          "[2026-11-29 19:29:00 +0000] [7] [INFO] Worker exiting (pid: 7)\n"
                          "[2026-11-29 19:29:00 +0000] [6] [INFO] Reason: Worker failed to boot.\n"),
            "/function/lib.py:3: KeyError: 'x'");
  EXPECT_EQ(last_words_of(std::string(kPython) + "  Field required\n    see https://x\n"),
            "/function/lib.py:3: KeyError: 'x'");
  EXPECT_EQ(last_words_of(std::string(kPython) + "going on without x\nerror: DATABASE_URL is not set\n"),
            "error: DATABASE_URL is not set");
}

TEST(LastWordsTest, OfPythonAreOfTheLastOfSeveralTraces) {
  EXPECT_EQ(
      last_words_of(std::string(kPython) +
                    "\nDuring handling of the above exception, another exception occurred:\n\n"
                    "Traceback (most recent call last):\n  File \"/usr/lib/python3/x.py\", line 5, in f\n"
                    "    g()\na.b.ImproperlyConfigured: no SECRET_KEY\n"),
      "a.b.ImproperlyConfigured: no SECRET_KEY");
}

TEST(LastWordsTest, OfNpmAreWhatIsMissingOrWhatTheScriptSaid) {
  EXPECT_EQ(
      last_words_of("npm error Missing script: \"start\"\nnpm error\nnpm error Did you mean one of these?\n"
                    "npm error A complete log of this run can be found in: /tmp/.npm/_logs/x.log\n"),
      "npm error Missing script: \"start\"");
  EXPECT_EQ(last_words_of(
                "/function/s.js:1\nthrow new Error('boom')\n^\n\nError: boom\n    at f (/function/s.js:1:7)\n"
                "\nNode.js v20.20.2\nnpm error Lifecycle script `start` failed with error:\n"
                "npm error code 1\nnpm notice New version of npm available!\n"),
            "/function/s.js:1: Error: boom");
}

TEST(LastWordsTest, ATraceNamesItsPlace) {
  EXPECT_EQ(place_in_trace("Error: no TABLE\n    at Object.<anonymous> (/function/index.js:2:7)\n"),
            "/function/index.js:2");
  EXPECT_EQ(place_in_trace("    at file:///function/a.mjs:4:7\n"), "/function/a.mjs:4");
  EXPECT_EQ(place_in_trace("  File \"/function/a.py\", line 3, in f\n    x\n"), "/function/a.py:3");
  EXPECT_EQ(
      place_in_trace("at line 3\n    at (/function/\n  File \"/function/a.py\n    at /function/x:y:z\n"), "");
}

TEST(LastWordsTest, OfNodeWithoutAnErrorAreWhatStandsBeforeItsVersion) {
  EXPECT_EQ(last_words_of("Uncaught 'text'\n\nNode.js v20.20.2\n"), "Uncaught 'text'");
  EXPECT_EQ(last_words_of("Node.js v20.20.2\n"), "");
}

}  // namespace
}  // namespace sterna
