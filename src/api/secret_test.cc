#include "api/secret.h"

#include <gtest/gtest.h>

#include "api/base64.h"
#include "api/variable_name.h"

namespace sterna::api {
namespace {

std::string first_wrong(const Json& json) {
  const auto value = parse_secret(json);
  return value ? "" : value.error().front().field;
}

TEST(Secret, IsTextOrBytes) {
  EXPECT_EQ(*parse_secret(Json{{"value", "grün"}}), "grün");
  EXPECT_EQ(*parse_secret(Json{{"value", ""}}), "");
  const std::string bytes("\x00\xff\n", 3);
  EXPECT_EQ(*parse_secret(Json{{"value_base64", base64_encode(bytes)}}), bytes);
}

TEST(Secret, TellsWhatIsWrongByField) {
  EXPECT_EQ(first_wrong(Json::object()), "value");
  EXPECT_EQ(first_wrong(Json{{"value", "a"}, {"value_base64", "YQ=="}}), "value");
  EXPECT_EQ(first_wrong(Json{{"value", 7}}), "value");
  EXPECT_EQ(first_wrong(Json{{"value_base64", "not base64"}}), "value_base64");
  EXPECT_EQ(first_wrong(Json{{"value", "a"}, {"name", "B"}}), "name");
  EXPECT_EQ(first_wrong(Json("a")), "(body)");
}

TEST(Secret, HasASizeLimit) {
  EXPECT_EQ(first_wrong(Json{{"value", std::string(kMaxSecretBytes, 'x')}}), "");
  EXPECT_EQ(first_wrong(Json{{"value", std::string(kMaxSecretBytes + 1, 'x')}}), "value");
  EXPECT_EQ(first_wrong(Json{{"value_base64", base64_encode(std::string(kMaxSecretBytes + 1, 'x'))}}),
            "value_base64");
}

TEST(Secret, NeverStandsInAMessage) {
  for (const Json& json : {Json{{"value_base64", "geheim!"}}, Json{{"value", {"geheim"}}}}) {
    const auto value = parse_secret(json);
    ASSERT_FALSE(value);
    for (const FieldError& error : value.error()) EXPECT_FALSE(error.message.contains("geheim"));
  }
}

TEST(Secret, IsVariableTextWhenUtf8WithoutNul) {
  EXPECT_TRUE(is_variable_text(""));
  EXPECT_TRUE(is_variable_text("a\nb grün"));
  EXPECT_FALSE(is_variable_text(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_variable_text("\xff"));
}

TEST(VariableName, IsWhatShellsCanRead) {
  for (const char* good : {"A", "_", "db_password", "X9"}) EXPECT_EQ(variable_name_problem(good), "") << good;
  for (const std::string& bad : {std::string(), std::string("9A"), std::string("a-b"), std::string("A B"),
                                 std::string("../A"), std::string("STERNA_X"), std::string(129, 'a')}) {
    EXPECT_NE(variable_name_problem(bad), "") << bad;
  }
}

}  // namespace
}  // namespace sterna::api
