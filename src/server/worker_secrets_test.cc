#include "server/worker_secrets.h"

#include <gtest/gtest.h>

namespace sterna::server {
namespace {

api::FunctionSpec listing(std::vector<std::string> names, bool as_variables) {
  api::FunctionSpec spec;
  spec.secrets = std::move(names);
  spec.secrets_env = as_variables;
  return spec;
}

TEST(WorkerSecrets, AreFilesOfWhatTheVersionLists) {
  pool::FunctionConfig config;
  add_secrets(config, listing({"A", "GONE"}, false), {{"A", "1"}, {"B", "2"}});
  EXPECT_EQ(config.secrets, (registry::SecretValues{{"A", "1"}}));
  EXPECT_TRUE(config.env.empty());
  EXPECT_EQ(config.refusal, "");
}

TEST(WorkerSecrets, AreVariablesTooWhenAskedFor) {
  pool::FunctionConfig config;
  config.env = {{"PLAIN", "p"}};
  add_secrets(config, listing({"A"}, true), {{"A", "1"}});
  EXPECT_EQ(config.secrets, (registry::SecretValues{{"A", "1"}}));
  EXPECT_EQ(config.env, (std::map<std::string, std::string>{{"A", "1"}, {"PLAIN", "p"}}));
}

TEST(WorkerSecrets, WhatCannotBeAVariableIsRefusedByName) {
  for (const std::string& value :
       {std::string("\xff"), std::string("a\0b", 3), std::string(kMaxSecretVariables, 'x')}) {
    pool::FunctionConfig config;
    add_secrets(config, listing({"A"}, true), {{"A", value}});
    EXPECT_TRUE(config.refusal.starts_with("secrets_env: "));
    EXPECT_FALSE(config.env.contains("A"));
    EXPECT_FALSE(config.refusal.contains(value));
    pool::FunctionConfig file_only;
    add_secrets(file_only, listing({"A"}, false), {{"A", value}});
    EXPECT_EQ(file_only.refusal, "");
  }
}

}  // namespace
}  // namespace sterna::server
