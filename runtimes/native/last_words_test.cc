#include "native/last_words.h"

#include <gtest/gtest.h>

namespace sterna::native {
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

TEST(LastWordsTest, OfNodeWithoutAnErrorAreWhatStandsBeforeItsVersion) {
  EXPECT_EQ(last_words_of("Uncaught 'text'\n\nNode.js v20.20.2\n"), "Uncaught 'text'");
  EXPECT_EQ(last_words_of("Node.js v20.20.2\n"), "");
}

}  // namespace
}  // namespace sterna::native
