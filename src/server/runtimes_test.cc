#include "server/runtimes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace sterna::server {
namespace {

class RuntimesTest : public ::testing::Test {
 protected:
  RuntimesTest() {
    std::string pattern = ::testing::TempDir() + "runtimes-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    config_.runtime_dir = folder_ / "runtimes";
    std::filesystem::create_directories(config_.runtime_dir / "native");
    file("runtimes/native/sterna-native");
  }
  ~RuntimesTest() override { std::filesystem::remove_all(folder_); }

  enum class Mode : std::uint8_t { kRuns, kDoesNot };
  std::string file(const std::string& name, Mode mode = Mode::kRuns) {
    const auto path = folder_ / name;
    std::ofstream(path) << "#!/bin/sh\n";
    std::filesystem::permissions(path, std::filesystem::perms(mode == Mode::kRuns ? 0755 : 0644));
    return path;
  }
  std::string program(const std::string& name, const std::string& line) {
    const std::string path = file(name);
    std::ofstream(path) << "#!/bin/sh\n" << line << '\n';
    return path;
  }
  std::string link(const std::string& name, const std::string& target) {
    std::filesystem::create_symlink(target, folder_ / name);
    return folder_ / name;
  }
  Runtimes find() { return Runtimes::find(config_, warnings_); }

  std::filesystem::path folder_;
  Config config_;
  std::vector<std::string> warnings_;
};

TEST_F(RuntimesTest, EachInterpreterGivesATemplateAndTheFirstTheDefault) {
  const std::string newer = file("python3.12");
  config_.python = {link("python3", newer), file("python3.9"), newer};
  const Runtimes runtimes = find();
  EXPECT_TRUE(warnings_.empty());
  EXPECT_EQ(runtimes.templates,
            (std::vector<std::string>{"command", "cpp", "http", "lambda", "python3", "python3-http",
                                      "python3.12-http", "python3.9-http"}));
  EXPECT_EQ(runtimes.runtime_of.at("python3-http"), "python3.12");
  EXPECT_EQ(runtimes.runtime_of.at("python3.9-http"), "python3.9");
  EXPECT_EQ(runtimes.runtime_of.at("command"), "native");
  ASSERT_EQ(runtimes.commands.size(), 4U);  // with the one for builds
  const auto& argv = runtimes.commands.at("python3.12").argv;
  EXPECT_EQ(argv.front(), config_.python[0]);
  EXPECT_NE(std::ranges::find(argv, (config_.runtime_dir / "python").string()), argv.end());
}

TEST_F(RuntimesTest, WhatCannotBeUsedIsNamedAndLeftOut) {
  config_.python = {file("python2.7"),
                    file("ruby3.1"),
                    file("python3"),
                    file("python3.x"),
                    file("python3.8", Mode::kDoesNot),
                    "/nowhere/python3.11"};
  std::filesystem::remove(config_.runtime_dir / "native/sterna-native");
  if (::geteuid() == 0) EXPECT_NE(::access(config_.python[4].c_str(), X_OK), 0);  // root needs one x bit too
  const Runtimes runtimes = find();
  EXPECT_TRUE(runtimes.templates.empty());
  ASSERT_EQ(warnings_.size(), config_.python.size() + 1);
  EXPECT_NE(warnings_.back().find("sterna-native"), std::string::npos);
  for (std::size_t i = 0; i < config_.python.size(); ++i) {
    EXPECT_NE(warnings_[i].find(config_.python[i]), std::string::npos) << warnings_[i];
  }
}

TEST_F(RuntimesTest, EachNodeIsAskedForItsVersion) {
  config_.node = {program("node", "echo v20.1.0"), program("other", "echo v22.0.0"),
                  program("same", "echo v20.9.9")};
  const Runtimes runtimes = find();
  EXPECT_TRUE(warnings_.empty());
  for (const char* name : {"node", "node-http", "node20-http", "node22-http"}) {
    EXPECT_TRUE(std::ranges::find(runtimes.templates, name) != runtimes.templates.end()) << name;
  }
  EXPECT_EQ(runtimes.runtime_of.at("node-http"), "node20");
  EXPECT_EQ(runtimes.runtime_of.at("node22-http"), "node22");
  const auto& argv = runtimes.commands.at("node20").argv;
  EXPECT_EQ(argv.front(), (config_.runtime_dir / "node" / "sterna-node-zygote").string());
  EXPECT_NE(std::ranges::find(argv, config_.node[0]), argv.end());
}

TEST_F(RuntimesTest, WhatIsNoNodeIsNamedAndLeftOut) {
  config_.node = {program("old", "echo v16.20.2"), program("silent", "exit 0"),
                  program("other", "echo Ruby 3"), file("broken", Mode::kDoesNot), "/nowhere/node"};
  EXPECT_FALSE(find().runtime_of.contains("node-http"));
  ASSERT_EQ(warnings_.size(), config_.node.size());
  for (std::size_t i = 0; i < warnings_.size(); ++i) {
    EXPECT_NE(warnings_[i].find(config_.node[i]), std::string::npos) << warnings_[i];
  }
  EXPECT_NE(warnings_[0].find("version 16, and 18 is the oldest"), std::string::npos) << warnings_[0];
}

TEST_F(RuntimesTest, ConfigCarriesTheVersionsLimits) {
  config_.python = {file("python3.12")};
  registry::Function function;
  function.id = "id";
  function.space = "home";
  function.name = "motion";
  registry::Version version;
  version.number = 7;
  version.spec.env = {{"A", "b"}};
  version.spec.limits.memory_mb = 64;
  version.spec.limits.concurrency = 3;
  version.spec.limits.network = Network::kNone;
  version.handler_async = true;
  const pool::FunctionConfig config = config_of(function, version, "/bundles/x", find(), config_);
  EXPECT_EQ(config.id, "id");
  EXPECT_EQ(config.space, "home");
  EXPECT_EQ(config.name, "motion");
  EXPECT_EQ(config.version, 7U);
  EXPECT_EQ(config.runtime, "python3.12");
  EXPECT_EQ(config.bundle_dir, "/bundles/x");
  EXPECT_EQ(config.env.at("A"), "b");
  EXPECT_EQ(config.memory_bytes, 64U << 20);
  EXPECT_EQ(config.concurrency, 3U);
  EXPECT_EQ(config.network, Network::kNone);
  EXPECT_TRUE(config.is_async);
  version.spec.limits.concurrency.reset();
  EXPECT_FALSE(config_of(function, version, "", find(), config_).concurrency);
}

TEST_F(RuntimesTest, StoredVersionWithNetworkHostIsRefusedUnlessAllowed) {
  registry::Version version;
  version.spec.limits.network = Network::kHost;
  const auto refusal = [&] { return config_of({}, version, "", {}, config_).refusal; };
  EXPECT_NE(refusal().find("--allow-network-host"), std::string::npos);
  config_.allow_network_host = true;
  EXPECT_EQ(refusal(), "");
  config_.allow_network_host = false;
  version.spec.limits.network = Network::kEgress;
  EXPECT_EQ(refusal(), "");
}

}  // namespace
}  // namespace sterna::server
