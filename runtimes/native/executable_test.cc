#include "native/executable.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

namespace sterna::native {
namespace {

using ::testing::HasSubstr;

class ExecutableTest : public ::testing::Test {
 protected:
  void TearDown() override { ::unlink(path_.c_str()); }
  // What is wrong with a file of that content; "" when it can be run.
  std::string problem(const std::string& content) {
    std::ofstream(path_, std::ios::binary) << content;
    ::chmod(path_.c_str(), 0755);
    const Status checked = check_executable(path_, Environment(Init{}));
    return checked ? "" : checked.error().detail;
  }
  // A copy of a program of the machine, with its header changed.
  template <class Change>
  std::string problem_of_copy(Change change) {
    std::ifstream file("/bin/sh", std::ios::binary);
    std::string content((std::istreambuf_iterator<char>(file)), {});
    Elf64_Ehdr elf{};
    std::memcpy(&elf, content.data(), sizeof elf);
    change(elf, content);
    std::memcpy(content.data(), &elf, sizeof elf);
    return problem(content);
  }

  const std::string path_ = ::testing::TempDir() + "sterna-executable-" + std::to_string(::getpid());
};

TEST_F(ExecutableTest, ScriptsNeedTheirInterpreter) {
  EXPECT_EQ(problem("#!/bin/sh\ntrue\n"), "");
  EXPECT_EQ(problem("#! /bin/sh -e\n"), "");
  EXPECT_THAT(problem("#!/no/such/ruby -w\n"),
              HasSubstr("the interpreter /no/such/ruby, which is not there"));
  EXPECT_THAT(problem("#!/bin/sh\r\ntrue\r\n"), HasSubstr("CR LF"));
  EXPECT_THAT(problem("#!\n"), HasSubstr("names no interpreter"));
}

TEST_F(ExecutableTest, WhatEnvIsAskedForMustBeInPath) {
  EXPECT_EQ(problem("#!/usr/bin/env sh\n"), "");
  EXPECT_EQ(problem("#!/usr/bin/env -S no-such-program -x\n"), "");
  EXPECT_THAT(problem("#!/usr/bin/env no-such-program\n"), HasSubstr("asks env for no-such-program"));
}

TEST_F(ExecutableTest, ProgramsAreForThisMachine) {
  EXPECT_EQ(problem_of_copy([](Elf64_Ehdr&, std::string&) {}), "");
  EXPECT_THAT(problem_of_copy([](Elf64_Ehdr& elf, std::string&) { elf.e_machine = EM_S390; }),
              HasSubstr("for another machine"));
  EXPECT_THAT(problem_of_copy([](Elf64_Ehdr& elf, std::string&) { elf.e_type = ET_REL; }),
              HasSubstr("an object file"));
  EXPECT_THAT(problem("\x7f"
                      "ELF"),
              HasSubstr("cut off"));
}

TEST_F(ExecutableTest, ProgramsNeedTheirLoader) {
  const std::string told = problem_of_copy([](Elf64_Ehdr&, std::string& content) {
    const std::size_t loader = content.find("/ld-linux");
    ASSERT_NE(loader, std::string::npos);
    content[loader + 1] = 'x';
  });
  EXPECT_THAT(told, HasSubstr("needs the loader"));
}

TEST_F(ExecutableTest, OtherFilesAreNone) {
  EXPECT_THAT(problem("print(1)\n"), HasSubstr("begin a script with a line such as #!/bin/sh"));
  EXPECT_THAT(problem(""), HasSubstr("it is empty"));
}

}  // namespace
}  // namespace sterna::native
