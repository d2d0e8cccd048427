#include "native/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace sterna::native {
namespace {

using ::testing::HasSubstr;

Environment environment() {
  Init init;
  init.function = "motion";
  init.env = {{"PORT", "8080"}, {"EMPTY", ""}};
  return Environment(init);
}

TEST(Environment, HoldsTheFunctionsVariablesAndOurs) {
  Environment made = environment();
  EXPECT_EQ(made.get("PORT"), "8080");
  EXPECT_EQ(made.get("STERNA_FUNCTION"), "motion");
  EXPECT_EQ(made.get("HOME"), "/tmp");
  EXPECT_EQ(made.get("POR"), "");
  made.set("PORT", "9");
  EXPECT_EQ(made.get("PORT"), "9");
}

TEST(Environment, ReplacesVariablesInWords) {
  const Environment made = environment();
  EXPECT_EQ(made.expand("0.0.0.0:$PORT"), "0.0.0.0:8080");
  EXPECT_EQ(made.expand("${PORT}1/$PORT/${EMPTY}x$EMPTY."), "80801/8080/x.");
  EXPECT_EQ(made.expand("$$PORT $ ${ ${PORT $-"), "$PORT $ ${ ${PORT $-");
  EXPECT_EQ(made.expand("plain"), "plain");
}

TEST(Environment, VariablesThatAreNotThereAreTold) {
  const Environment made = environment();
  for (const char* word : {"x$POR", "$PORT_", "{print $1}", "${PORTS}"}) {
    const auto expanded = made.expand(word);
    ASSERT_FALSE(expanded) << word;
    EXPECT_EQ(expanded.error().reason, "command_unusable");
  }
  EXPECT_THAT(made.expand("{print $1}").error().detail,
              HasSubstr("no variable $1: set it in env, or write $$1 where"));
  EXPECT_THAT(made.expand("${PORTS}").error().detail, HasSubstr("no variable ${PORTS}: "));
}

TEST(FindProgram, LooksInPathAndSaysWhatToDo) {
  const Environment made = environment();
  EXPECT_EQ(find_program("sh", made).value(), "/usr/bin/sh");
  EXPECT_THAT(find_program("no-such-program", made).error().detail, HasSubstr("write ./no-such-program"));
  EXPECT_THAT(find_program("./nothing", made).error().detail, HasSubstr("there is no file ./nothing"));
  EXPECT_THAT(find_program("/usr/bin", made).error().detail, HasSubstr("is a folder"));
}

TEST(FindProgram, AFileThatMayNotRunIsNamed) {
  const std::string path = ::testing::TempDir() + "plain-file";
  std::ofstream(path) << "x";
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_THAT(find_program(path, environment()).error().detail, HasSubstr("is not executable"));
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace sterna::native
