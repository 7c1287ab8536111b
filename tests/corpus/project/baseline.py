from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

x, y = load_digits(return_X_y=True)
a, b, c, d = train_test_split(x, y, random_state=0)
model = LogisticRegression(max_iter=500).fit(a, c)
print(model.score(b, d))
