#include "api/templates.h"

#include <gtest/gtest.h>

#include <set>

namespace sterna::api {
namespace {

TEST(Templates, AreFoundByNameAliasAndVersion) {
  const Template* const python = find_template("python3-http");
  ASSERT_NE(python, nullptr);
  EXPECT_EQ(python->handlers.front(), "handler.py");
  EXPECT_EQ(find_template("python3"), python);
  EXPECT_EQ(find_template("python3.11-http"), python);
  EXPECT_EQ(find_template("node"), find_template("node20-http"));
  EXPECT_NE(find_template("node20-http"), nullptr);
}

TEST(Templates, OtherNamesAreNone) {
  for (const std::string_view name :
       {"", "-http", "ruby", "python", "python3.", "python3.x-http", "python2-http", "xpython3-http",
        "node20", "1http", "cpp20", "lambda-http"}) {
    EXPECT_EQ(find_template(name), nullptr) << name;
  }
}

TEST(Templates, CanonicalNamesAreNeverAliases) {
  EXPECT_EQ(canonical_template("python3"), "python3-http");
  EXPECT_EQ(canonical_template("python3.11-http"), "python3.11-http");
  EXPECT_EQ(canonical_template("unknown"), "unknown");
}

TEST(Templates, NoTwoRowsShareAName) {
  std::set<std::string_view> names;
  for (const Template& row : templates()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    if (!row.alias.empty()) EXPECT_TRUE(names.insert(row.alias).second) << row.alias;
    EXPECT_FALSE(row.handlers.empty());
  }
}

}  // namespace
}  // namespace sterna::api
